"""Allowances and taps for tests: an allowance that gives what the test puts in."""


class Purse:
    free = False

    def __init__(self, amount=0):
        self.amount = amount
        self.asked = []
        self.waiting = []

    def take(self, wanted):
        self.asked.append(wanted)
        taken = min(wanted, self.amount)
        self.amount -= taken
        return taken

    def wait(self, callback):
        self.waiting.append(callback)

    def give_back(self, unused):
        self.amount += unused

    def fill(self, amount):
        self.amount += amount
        waiting, self.waiting = self.waiting, []
        for callback in waiting:
            callback()


class Faucet:
    """A tap that gives what the test says."""

    free = False

    def __init__(self, amount):
        self.amount = amount
        self.returned = []

    def room(self):
        return self.amount

    def unused(self, size):
        self.returned.append(size)
