"""This library as a volume driver of OpenStack Cinder; imported by cinder-volume only, the rest of the library never does.

In cinder.conf, ``volume_driver`` is ``blockdrivers.integrations.cinder.driver.`` and `ISCSIDriver`, `FCDriver` or `NFSDriver`.
"""
