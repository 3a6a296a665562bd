module tests.local/echo

go 1.24
