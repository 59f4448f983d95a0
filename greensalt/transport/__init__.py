"""ZeroMQ sockets; the only importer of zmq."""
