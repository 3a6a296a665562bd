"""What is sold. Prices in cents."""

PRODUCTS = {
    "tea": {"name": "Longjing tea, 100 g", "name_zh": "龙井茶 100 克", "price": 1200},
    "cup": {"name": "Celadon cup", "name_zh": "青瓷杯", "price": 2400},
    "pot": {"name": "Yixing teapot", "name_zh": "宜兴紫砂壶", "price": 9800},
    "tray": {"name": "Bamboo tray", "name_zh": "竹茶盘", "price": 4500},
}


def total(items: list[dict[str, object]]) -> int:
    return sum(PRODUCTS[str(item["sku"])]["price"] * int(str(item["quantity"])) for item in items)  # type: ignore[misc]
