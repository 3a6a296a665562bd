CREATE INDEX orders_at ON orders (at DESC);
