<?php
// A shop's chores with PDO. The argument says whether PDO prepares on the server,
// as it does by default, or sends text and values together; where to connect is in
// the environment.

declare(strict_types=1);

$db = new PDO(
    sprintf('pgsql:host=%s;port=%s;dbname=%s', getenv('PGHOST'), getenv('PGPORT'), getenv('PGDATABASE')),
    getenv('PGUSER'),
    '',
    [
        PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
        PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC,
        PDO::PGSQL_ATTR_DISABLE_PREPARES => $argv[1] === 'no prepares',
    ],
);

function show(mixed ...$values): void
{
    echo json_encode($values, JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR), "\n";
}

function rows(PDO $db, string $sql, mixed ...$values): array
{
    $statement = $db->prepare($sql);
    $statement->execute($values);
    return $statement->fetchAll();
}

function attempt(callable $do): void
{
    try {
        $do();
    } catch (PDOException $e) {
        show($e->getCode(), $e->getMessage());
    }
}

function repeatedReads(PDO $db): void
{
    for ($i = 0; $i < 10; $i++) {
        foreach (['currency', 'motto'] as $name) {
            show(rows($db, 'SELECT value FROM setting WHERE name = ?', $name));
        }
        show($db->query("SELECT name, value FROM setting ORDER BY name")->fetchAll(PDO::FETCH_KEY_PAIR));
    }
    $statement = $db->prepare('SELECT value FROM setting WHERE name = :name');
    for ($i = 0; $i < 20; $i++) {
        $statement->execute(['name' => 'vat']);
        show($statement->fetchColumn());
    }
}

function types(PDO $db): void
{
    $statement = $db->query('SELECT * FROM item ORDER BY id');
    for ($column = 0; $column < $statement->columnCount(); $column++) {
        show($statement->getColumnMeta($column));
    }
    for ($i = 0; $i < 3; $i++) {
        foreach ($db->query('SELECT * FROM item ORDER BY id') as $item) {
            $item['photo'] = $item['photo'] === null ? null : bin2hex(stream_get_contents($item['photo']));
            show($item);
        }
        show(rows($db, 'SELECT name FROM item WHERE id = ? AND price < ?', 1, '99.5'));
        show(rows($db, 'SELECT name FROM item WHERE id = ANY (?) AND active', '{1,2,3}'));
        show(rows($db, 'SELECT name FROM item WHERE details @> ?', '{"a": [1]}'));
        show(rows($db, 'SELECT id FROM item WHERE name = ?', 'nothing'));
        $statement = $db->prepare('SELECT name FROM item WHERE photo = ?');
        $statement->bindValue(1, "\x00\xff\x10", PDO::PARAM_LOB);
        $statement->execute();
        show($statement->fetchAll());
    }
}

function ownWrites(PDO $db): void
{
    $update = $db->prepare('UPDATE item SET stock = ? WHERE id = ?');
    for ($stock = 0; $stock < 20; $stock++) {
        $update->execute([$stock, 3]);
        show($update->rowCount());
        for ($i = 0; $i < 2; $i++) {
            show(rows($db, 'SELECT stock FROM item WHERE id = ?', 3));
        }
    }
    show(rows($db, 'INSERT INTO sale (item, amount) VALUES (?, ?) RETURNING id', 1, 5), $db->lastInsertId('sale_id_seq'), $db->lastInsertId());
    show($db->query('SELECT item, amount FROM sale ORDER BY id')->fetchAll(PDO::FETCH_NUM));
}

function transactions(PDO $db): void
{
    foreach (['commit', 'rollBack'] as $end) {
        $db->beginTransaction();
        $db->exec('UPDATE item SET stock = stock + 100 WHERE id = 1');
        show(rows($db, 'SELECT stock FROM item WHERE id = ?', 1), $db->inTransaction());
        $db->$end();
        show(rows($db, 'SELECT stock FROM item WHERE id = ?', 1), $db->inTransaction());
    }
    $db->beginTransaction();
    attempt(fn() => $db->exec('UPDATE item SET stock = -1'));
    attempt(fn() => rows($db, 'SELECT stock FROM item WHERE id = ?', 1));
    $db->rollBack();
    show(rows($db, 'SELECT stock FROM item WHERE id = ?', 1));
}

function errors(PDO $db): void
{
    attempt(fn() => rows($db, "INSERT INTO item (id, name, price, stock) VALUES (?, 'x', 1, 1)", 1));
    attempt(fn() => $db->query('SELECT nothing FROM item'));
    attempt(fn() => $db->query('SELEC 1'));
    attempt(fn() => rows($db, 'SELECT 1 / ?::int', 0));
    attempt(fn() => $db->exec("SET statement_timeout = '100ms'; SELECT pg_sleep(20)"));
    $db->exec('RESET statement_timeout');
    show(rows($db, 'SELECT stock FROM item WHERE id = ?', 1));
}

function copies(PDO $db): void
{
    show($db->pgsqlCopyFromArray('sale', ["1\t100", "2\t200"], "\t", '\\\\N', 'item, amount'));
    attempt(fn() => $db->pgsqlCopyFromArray('sale', ["99\t1"], "\t", '\\\\N', 'item, amount'));
    show($db->pgsqlCopyToArray('setting'));
    show(rows($db, 'SELECT item, amount FROM sale WHERE amount >= ? ORDER BY id', 100));
}

function notifications(PDO $db): void
{
    $db->exec('LISTEN shop');
    $db->exec("NOTIFY shop, 'open'");
    ['message' => $message, 'pid' => $pid, 'payload' => $payload] = $db->pgsqlGetNotify(PDO::FETCH_ASSOC, 10000);
    show($message, $payload, $pid === $db->pgsqlGetPid());
    $db->exec('UNLISTEN *');
}

echo 'PDO of PHP ', PHP_VERSION, "\n";
foreach (['repeatedReads', 'types', 'ownWrites', 'transactions', 'errors', 'copies', 'notifications', 'repeatedReads'] as $chore) {
    $chore($db);
}
