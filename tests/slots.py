"""Two aliases whose replication slots have one name in the database `shop`, as digests go: found by trying."""

SHARING = ("eu-....-..-..-.--.-...", "eu..-.-.--....--.--...")
