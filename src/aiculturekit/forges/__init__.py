"""What a forge runs when somebody pushes or asks for a merge: an application's pipeline as GitHub, GitLab, Gitee and Jenkins write it.

Promise: pure; the same pipeline gives the same text, whatever the language of whoever asks, so that a file can be told from one that a hand
changed. May not: read the disk, ask a network, or write a secret into a file.
"""
