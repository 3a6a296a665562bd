module tests.local/pause

go 1.24
