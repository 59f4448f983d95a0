"""Keys, packets and the sign-in: bytes in, bytes out.

The only package that imports pycryptodome. Nothing here opens a file or waits; RSA takes
milliseconds of CPU, so daemons call it through their thread pool.
"""
