"""The procedures about tasks, whatever carries out their calls.

They are composed of the core's. `lifecycle_adapters.http` carries out their calls over HTTP,
`lifecycle_adapters.objects` by functions of the user's. The former exports what users need of this package.
"""
