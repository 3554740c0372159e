"""An allowance that gives what the test puts in."""


class Purse:
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

    def fill(self, amount):
        self.amount += amount
        waiting, self.waiting = self.waiting, []
        for callback in waiting:
            callback()
