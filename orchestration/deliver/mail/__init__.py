"""The mail: its body, its renderings as text and HTML, and the two senders, SMTP and a folder of files."""
