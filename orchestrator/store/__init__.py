"""The store of intent: what people want, kept by revision; the store repeats nothing that the engines can tell.

`SqliteStore` and `MemoryStore` keep the contract of `protocol.Store`.
"""

from orchestrator.store.memory import MemoryStore
from orchestrator.store.protocol import Change, Delete, Entry, Put, Store
from orchestrator.store.sqlite import SqliteStore

__all__ = ["Change", "Delete", "Entry", "MemoryStore", "Put", "SqliteStore", "Store"]
