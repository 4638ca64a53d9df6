import hspace.testing


class TestBackbone(hspace.testing.BackboneContract):
    card = "ripples"


class TestHead(hspace.testing.HeadContract):
    head = "ripples-shift"


class TestFinder(hspace.testing.FinderContract):
    finder = "ripples-power"
