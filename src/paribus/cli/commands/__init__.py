"""The commands of `paribus`. A file is a command: its name, its docstring the help, its `command` the parser."""
