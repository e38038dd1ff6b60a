"""NB-IoT devices: LwM2M registrations over plain CoAP, which carries no secret, and over DTLS with the device's own."""
