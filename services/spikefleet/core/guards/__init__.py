"""Guards read one signal each; they never kill."""
