"""The stages of a batch, composed of the four rooms: extract, validate, plan, upload, read back, reconcile, report.

Each stage is one function from frames and settings to frames; who runs it, and where the frames are kept between
stages, is not its business. This is the only part of the engine that knows more than one room.
"""
