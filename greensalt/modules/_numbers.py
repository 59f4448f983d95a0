"""Sums that take long on purpose, each with the seconds that it took."""

from __future__ import annotations

import time


def fibonacci(number: int) -> tuple[int, float]:
    """The Fibonacci number of that rank."""
    start = time.monotonic()
    earlier, current = 0, 1
    for _ in range(number):
        earlier, current = current, earlier + current
    return earlier, time.monotonic() - start


def collatz(number: int) -> tuple[list[int], float]:
    """The numbers on the way to 1."""
    begin = time.monotonic()
    steps = []
    while number != 1:
        steps.append(number)
        number = number * 3 + 1 if number % 2 else number // 2
    return steps, time.monotonic() - begin
