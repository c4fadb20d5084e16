"""The store of intent: what people want, kept by revision; the store repeats nothing that the engines can tell.

`SqliteStore` and `MemoryStore` keep the contract of `protocol.Store`; `Stacks`, `Nodes`, `Vault` and `hold` speak the
model's words on top of any of them.
"""

from orchestrator.store.lease import Owner, StackLock, hold, holder
from orchestrator.store.memory import MemoryStore
from orchestrator.store.nodes import Nodes
from orchestrator.store.protocol import Change, Delete, Entry, Put, Store
from orchestrator.store.secrets import Vault
from orchestrator.store.sqlite import SqliteStore
from orchestrator.store.stacks import Stacks, Stored

__all__ = [
    "Change",
    "Delete",
    "Entry",
    "MemoryStore",
    "Nodes",
    "Owner",
    "Put",
    "SqliteStore",
    "StackLock",
    "Stacks",
    "Store",
    "Stored",
    "Vault",
    "hold",
    "holder",
]
