"""The nouns: what is wanted (`spec`), what is (`cluster`), what was decided (`plan`), and their names.

No rule of behaviour and no I/O lives here; every other room speaks in these words.
"""
