"""LwM2M (OMA LwM2M 1.0 over CoAP), in the clear and over DTLS with a pre-shared key: what an NB-IoT device speaks."""
