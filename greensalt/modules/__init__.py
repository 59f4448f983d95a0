"""Execution modules: plain functions that jobs call by `<module>.<function>`.

Each file is one module; files that begin with an underscore are helpers of theirs. A trailing
underscore of a function's name is dropped, so that `list_` is called as `list`.
"""
