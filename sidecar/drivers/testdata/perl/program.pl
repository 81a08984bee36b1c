# A shop's chores with DBD::Pg. Where to connect is in the environment.

use v5.30;
use warnings;
use open ':std', ':encoding(UTF-8)';

use Data::Dumper;
use DBD::Pg qw(:pg_types);
use DBI;

$Data::Dumper::Indent   = 0;
$Data::Dumper::Sortkeys = 1;
$Data::Dumper::Terse    = 1;

my $db = DBI->connect('dbi:Pg:', '', '', { AutoCommit => 1, RaiseError => 1, PrintError => 0 });

sub show { say Dumper(@_) }

sub attempt {
    my ($do) = @_;
    eval { $do->(); 1 } or show($db->state, $db->errstr);
}

sub stock { return $db->selectrow_array('SELECT stock FROM item WHERE id = ?', undef, @_) }

sub repeated_reads {
    for (1 .. 10) {
        show($db->selectrow_array('SELECT value FROM setting WHERE name = ?', undef, $_)) for qw(currency motto);
        show($db->selectall_hashref('SELECT name, value FROM setting ORDER BY name', 'name'));
    }
    for (1 .. 20) {
        my $statement = $db->prepare_cached('SELECT value FROM setting WHERE name = ?');
        $statement->execute('vat');
        show($statement->fetchall_arrayref);
    }
}

sub types {
    for (1 .. 3) {
        my $statement = $db->prepare('SELECT * FROM item ORDER BY id');
        $statement->execute;
        show($statement->{NAME}, $statement->{TYPE}, $statement->{PRECISION}, $statement->{SCALE});
        show($_) for @{ $statement->fetchall_arrayref({}) };
        show($db->selectcol_arrayref('SELECT name FROM item WHERE id = ? AND price < ?', undef, 1, '99.5'));
        show($db->selectcol_arrayref('SELECT name FROM item WHERE id = ANY (?) AND active', undef, [1, 2, 3]));
        show($db->selectcol_arrayref(q{SELECT name FROM item WHERE details @> ?}, undef, '{"a": [1]}'));
        show($db->selectcol_arrayref('SELECT id FROM item WHERE false'));
        my $photo = $db->prepare('SELECT name FROM item WHERE photo = ?');
        $photo->bind_param(1, "\x00\xff\x10", { pg_type => PG_BYTEA });
        $photo->execute;
        show($photo->fetchrow_array);
    }
}

sub own_writes {
    my $update = $db->prepare('UPDATE item SET stock = ? WHERE id = ?');
    for my $stock (0 .. 19) {
        show($update->execute($stock, 3));
        show(stock(3)) for 1 .. 2;
    }
    show($db->selectrow_array('INSERT INTO sale (item, amount) VALUES (?, ?) RETURNING id', undef, 1, 5));
    show($db->selectall_arrayref('SELECT item, amount FROM sale ORDER BY id'));
}

sub transactions {
    for my $end (qw(commit rollback)) {
        $db->begin_work;
        $db->do('UPDATE item SET stock = stock + 100 WHERE id = ?', undef, 1);
        show(stock(1), $db->{AutoCommit});
        $db->$end;
        show(stock(1), $db->{AutoCommit});
    }
    $db->begin_work;
    $db->pg_savepoint('here');
    attempt(sub { $db->do('UPDATE item SET stock = -1') });
    attempt(sub { stock(1) });
    $db->pg_rollback_to('here');
    show(stock(1));
    $db->commit;
}

sub errors_and_notices {
    local $SIG{__WARN__} = sub { show(@_) };
    attempt(sub { $db->do(q{INSERT INTO item (id, name, price, stock) VALUES (?, 'x', 1, 1)}, undef, 1) });
    attempt(sub { $db->do('SELECT nothing FROM item') });
    attempt(sub { $db->do('SELEC 1') });
    attempt(sub { $db->selectrow_array('SELECT 1 / ?::int', undef, 0) });
    $db->do(q{DO $$ BEGIN RAISE NOTICE 'noticed'; END $$});
    $db->do(q{SET statement_timeout = '100ms'});
    attempt(sub { $db->do('SELECT pg_sleep(20)') });
    $db->do('RESET statement_timeout');
    show(stock(1));
}

sub copies {
    $db->do('COPY sale (item, amount) FROM STDIN');
    $db->pg_putcopydata("1\t100\n");
    $db->pg_putcopydata("2\t200\n");
    $db->pg_putcopyend;
    $db->do('COPY sale (item, amount) FROM STDIN');
    $db->pg_putcopydata("99\t1\n");
    attempt(sub { $db->pg_putcopyend });
    $db->do('COPY (SELECT item, amount FROM sale WHERE amount >= 100 ORDER BY id) TO STDOUT');
    my $line = '';
    show($line) while $db->pg_getcopydata($line) >= 0;
}

sub notifications {
    $db->do('LISTEN shop');
    $db->do(q{NOTIFY shop, 'open'});
    my ($channel, $pid, $payload) = @{ $db->pg_notifies };
    show($channel, $payload, $pid == $db->{pg_pid});
    $db->do('UNLISTEN *');
}

say "DBD::Pg $DBD::Pg::VERSION";
$_->() for \&repeated_reads, \&types, \&own_writes, \&transactions, \&errors_and_notices, \&copies, \&notifications, \&repeated_reads;
$db->disconnect;
