import unittest

import main


class Greetings(unittest.TestCase):
    def test_greets_a_visitor(self) -> None:
        self.assertEqual(main.greet(7), "Hello, visitor 7!")


if __name__ == "__main__":
    unittest.main()
