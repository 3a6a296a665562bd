"""The web front: control's views as pages. Server-rendered; its scripts use the public API only; no private endpoint."""
