"""The REST front: HTTP to control verbs and back, under /api/v1, with OpenAPI. It only translates."""
