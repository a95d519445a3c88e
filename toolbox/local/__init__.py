"""The local AWS: ministack with the stack deployed in it, for `make run`, `make up` and the end-to-end tests."""
