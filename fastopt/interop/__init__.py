"""Drop-ins: fastopt's steps behind the interfaces of other libraries. Each is a module of its own, imported only when asked for."""
