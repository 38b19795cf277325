"""Object storage: what is kept in a bucket, and the folders on this machine that stand for it.

Here and nowhere else is spoken to a bucket (s3fs). `address` names a place in one, `bucket` lists, fetches and puts objects,
`working_copy` keeps a folder of this machine and a prefix of the bucket alike, `outline` shows what lies in a prefix as a
folder of files whose content is fetched when it is asked for. What a batch, a store or a table is, is not known here.
"""
