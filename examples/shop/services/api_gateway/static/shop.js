// The storefront: lists what the services know, sends the order, shows which payment version took it.
const find = (id) => document.getElementById(id);
const basket = new Map();
let products = [];
let zh = navigator.language.startsWith("zh");

const price = (cents) => "¥" + (cents / 100).toFixed(2);
const named = (product) => (zh ? product.name_zh : product.name);
const get = async (path) => (await fetch("/api/" + path)).json();

function element(tag, text, more = {}) {
  return Object.assign(document.createElement(tag), { textContent: text }, more);
}

function speak() {
  document.documentElement.lang = zh ? "zh" : "en";
  find("language").textContent = zh ? "English" : "中文";
  for (const node of document.querySelectorAll("[data-en]")) {
    const target = node.tagName === "LABEL" ? node.firstElementChild : node;
    target.textContent = zh ? node.dataset.zh : node.dataset.en;
  }
  showProducts();
  showBasket();
}

function showProducts() {
  find("products").replaceChildren(...products.map((product) => {
    const card = document.createElement("article");
    card.append(
      element("b", named(product)),
      element("span", price(product.price)),
      element("button", zh ? "加入" : "Add", { type: "button", onclick: () => add(product.sku) }),
    );
    return card;
  }));
}

function add(sku) {
  basket.set(sku, (basket.get(sku) ?? 0) + 1);
  showBasket();
}

function showBasket() {
  const lines = products.filter((product) => basket.has(product.sku));
  find("basket").replaceChildren(...lines.map((product) => {
    const line = document.createElement("li");
    line.append(element("span", `${basket.get(product.sku)} × ${named(product)}`), element("span", price(product.price * basket.get(product.sku))));
    return line;
  }));
  find("total").textContent = price(lines.reduce((sum, product) => sum + product.price * basket.get(product.sku), 0));
  find("buy").disabled = basket.size === 0;
}

async function buy() {
  find("buy").disabled = true;
  const items = [...basket].map(([sku, quantity]) => ({ sku, quantity }));
  const headers = { "content-type": "application/json", ...(find("beta").checked ? { "x-beta": "true" } : {}) };
  const started = performance.now();
  const answer = await fetch("/api/orders", { method: "POST", headers, body: JSON.stringify({ user_id: Number(find("user").value), items }) });
  const body = await answer.json();
  const took = Math.round(performance.now() - started);
  find("answer").className = answer.ok ? "ok" : "bad";
  find("answer").textContent = answer.ok
    ? (zh ? `订单 ${body.id} 已支付，由支付服务 ${answer.headers.get("x-version")} 处理，用时 ${took} 毫秒` : `Order ${body.id} paid by payment ${answer.headers.get("x-version")} in ${took} ms`)
    : body.error;
  if (answer.ok) basket.clear();
  showBasket();
  await showOrders();
}

async function showOrders() {
  const orders = await get("orders");
  find("orders").tBodies[0].replaceChildren(...orders.map((order) => {
    const row = document.createElement("tr");
    row.insertCell().append(element("code", order.id));
    row.insertCell().textContent = price(order.total);
    return row;
  }));
}

find("language").onclick = () => { zh = !zh; speak(); };
find("buy").onclick = buy;
products = await get("products");
find("user").replaceChildren(...(await get("users")).map((user) => element("option", user.name, { value: user.id })));
speak();
await showOrders();
