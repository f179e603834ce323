"""Forensic models: is a picture forged, and where?"""
