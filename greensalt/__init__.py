"""greensalt: Salt's ZeroMQ control plane as one gevent process per daemon."""

__version__ = "0.1.0"
