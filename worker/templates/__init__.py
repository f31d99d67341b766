"""Prompts with variables: the language, what is declared, the versions that are kept."""
