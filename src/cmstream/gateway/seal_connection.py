class SealConnection:
    pass
