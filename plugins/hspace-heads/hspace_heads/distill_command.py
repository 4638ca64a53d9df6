def distill() -> None:
    """x"""
