"""The shell front: commands to API calls and back. It only translates, and imports no backend."""
