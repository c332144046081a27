"""The mail: its body, its renderings as text and HTML, and two senders, SMTP and a folder."""
