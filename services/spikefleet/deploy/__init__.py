"""The only places that choose adapters."""

import gc

# A service makes three hundred modules, which stay, and then little that forms cycles: at Python's
# default of 700 new objects a seventh of its start went into looking for garbage that is not there.
gc.set_threshold(20_000, 20, 20)
