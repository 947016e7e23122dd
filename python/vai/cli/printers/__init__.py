"""How answers look: tables, wide tables, JSON, YAML and names, each as kubectl prints it.

They know `vai.types` and rows of bytes, nothing of files, networks or command lines.
"""
