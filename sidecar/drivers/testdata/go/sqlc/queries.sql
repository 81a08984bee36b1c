-- name: GetSetting :one
SELECT value FROM setting WHERE name = $1;

-- name: ListSettings :many
SELECT * FROM setting ORDER BY name;

-- name: GetItem :one
SELECT * FROM item WHERE id = $1;

-- name: ListItems :many
SELECT id, name, price, stock, tags, details, photo, hue, weight, made, changed, active FROM item ORDER BY id;

-- name: ListActive :many
SELECT name FROM item WHERE id = ANY (sqlc.arg(ids)::int[]) AND active AND price < sqlc.arg(below) ORDER BY id;

-- name: ListSold :many
SELECT i.name, sum(s.amount) AS amount FROM item i JOIN sale s ON s.item = i.id GROUP BY i.name ORDER BY i.name;

-- name: GetStock :one
SELECT stock FROM item WHERE id = $1;

-- name: SetStock :execrows
UPDATE item SET stock = $2 WHERE id = $1;

-- name: AddSale :one
INSERT INTO sale (item, amount) VALUES ($1, $2) RETURNING *;

-- name: AddSales :copyfrom
INSERT INTO sale (item, amount) VALUES ($1, $2);

-- name: ListAmounts :many
SELECT amount FROM sale ORDER BY id;
