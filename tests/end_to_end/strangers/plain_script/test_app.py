import unittest

from app import greet


class Greetings(unittest.TestCase):
    def test_a_known_language(self):
        self.assertEqual(greet({"en": "Hello", "no": "Hei"}, "no"), "Hei!")

    def test_english_otherwise(self):
        self.assertEqual(greet({"en": "Hello"}, "xx"), "Hello!")


if __name__ == "__main__":
    unittest.main()
