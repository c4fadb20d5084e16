"""The store of intent: what people want, kept by revision; the store repeats nothing that the engines can tell.

`SqliteStore` and `MemoryStore` keep the contract of `protocol.Store`; `Stacks`, `Nodes`, `NamedFiles`, `Vault`, `hold`
and `sweep` speak the model's words on top of any of them.
"""

from orchestrator.store.fabric import FabricRecord
from orchestrator.store.lease import Owner, StackLock, hold, holder
from orchestrator.store.memory import MemoryStore
from orchestrator.store.named import NamedFile, NamedFiles, StoredFile
from orchestrator.store.nodes import Nodes
from orchestrator.store.protocol import Change, Delete, Entry, Put, Store
from orchestrator.store.secrets import Vault
from orchestrator.store.sqlite import SqliteStore
from orchestrator.store.stacks import Stacks, Stored
from orchestrator.store.sweep import sweep

__all__ = [
    "Change",
    "Delete",
    "Entry",
    "FabricRecord",
    "MemoryStore",
    "NamedFile",
    "NamedFiles",
    "Nodes",
    "Owner",
    "Put",
    "SqliteStore",
    "StackLock",
    "Stacks",
    "Store",
    "Stored",
    "StoredFile",
    "Vault",
    "hold",
    "holder",
    "sweep",
]
