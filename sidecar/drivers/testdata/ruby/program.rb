# A shop's chores with pg. Where to connect is in the environment.

require 'pg'

def show(result)
  puts result.cmd_status
  result.fields.each_index { |i| p [result.fname(i), result.ftype(i), result.fmod(i), result.fformat(i)] }
  result.each { |row| p row }
end

def attempt
  yield
rescue PG::Error => e
  p e.class, e.message, e.result&.error_field(PG::PG_DIAG_SQLSTATE)
end

def repeated_reads(conn)
  10.times do
    %w[currency motto].each do |name|
      p conn.exec_params('SELECT value FROM setting WHERE name = $1', [name]).getvalue(0, 0)
    end
    p conn.exec('SELECT name, value FROM setting ORDER BY name').to_a
  end
  conn.prepare('setting', 'SELECT value FROM setting WHERE name = $1')
  20.times { p conn.exec_prepared('setting', ['vat']).values }
  conn.exec('DEALLOCATE setting')
end

def types(conn)
  3.times do
    show conn.exec('SELECT * FROM item ORDER BY id')
    show conn.exec_params('SELECT id, name, photo, stock FROM item WHERE id = $1', [1], 1)
    show conn.exec_params('SELECT name FROM item WHERE id = $1 AND price < $2', [1, '99.5'])
    show conn.exec_params('SELECT name FROM item WHERE id = ANY ($1) AND active', [PG::TextEncoder::Array.new.encode([1, 2, 3])])
    show conn.exec_params('SELECT name FROM item WHERE photo = $1', [{ value: "\x00\xff\x10".b, format: 1 }])
    show conn.exec('SELECT id FROM item WHERE false')
  end
  plain = conn.type_map_for_results
  conn.type_map_for_results = PG::BasicTypeMapForResults.new(conn)
  # Without the dates: Ruby's have no infinity.
  3.times { p conn.exec('SELECT id, name, price, stock, tags, details, weight, active FROM item ORDER BY id').to_a }
  3.times { p conn.exec('SELECT made, changed, photo FROM item WHERE id = 1').to_a }
  conn.type_map_for_results = plain
end

def own_writes(conn)
  20.times do |stock|
    p conn.exec_params('UPDATE item SET stock = $1 WHERE id = $2', [stock, 3]).cmd_tuples
    2.times { p conn.exec_params('SELECT stock FROM item WHERE id = $1', [3]).values }
  end
  show conn.exec_params('INSERT INTO sale (item, amount) VALUES ($1, $2) RETURNING id', [1, 5])
  show conn.exec('SELECT item, amount FROM sale ORDER BY id')
end

class ChangedMyMind < StandardError; end

def transactions(conn)
  stock = -> { conn.exec_params('SELECT stock FROM item WHERE id = $1', [1]).getvalue(0, 0) }
  conn.transaction do
    conn.exec('UPDATE item SET stock = stock + 100 WHERE id = 1')
    p stock.call, conn.transaction_status
  end
  p stock.call
  begin
    conn.transaction do
      conn.exec('UPDATE item SET stock = stock + 100 WHERE id = 1')
      p stock.call
      raise ChangedMyMind
    end
  rescue ChangedMyMind
    p stock.call
  end
  attempt do
    conn.transaction do
      attempt { conn.exec('UPDATE item SET stock = -1') }
      stock.call
    end
  end
  p stock.call
end

def errors_and_notices(conn)
  conn.set_notice_processor { |message| puts message }
  attempt { conn.exec_params("INSERT INTO item (id, name, price, stock) VALUES ($1, 'x', 1, 1)", [1]) }
  attempt { conn.exec('SELECT nothing FROM item') }
  attempt { conn.exec('SELEC 1') }
  attempt { conn.exec_params('SELECT 1 / $1::int', [0]) }
  conn.exec("DO $$ BEGIN RAISE NOTICE 'noticed'; END $$")
  conn.exec("SET statement_timeout = '100ms'")
  attempt { conn.exec('SELECT pg_sleep(20)') }
  conn.exec('RESET statement_timeout')
  p conn.exec_params('SELECT stock FROM item WHERE id = $1', [1]).values
end

def single_rows(conn)
  conn.send_query_params('SELECT name FROM item WHERE id < $1 ORDER BY id', [3])
  conn.set_single_row_mode
  conn.get_result.stream_each { |row| p row }
  conn.get_last_result
end

def copies(conn)
  conn.copy_data('COPY sale (item, amount) FROM STDIN') do
    conn.put_copy_data("1\t100\n")
    conn.put_copy_data("2\t200\n")
  end
  attempt { conn.copy_data('COPY sale (item, amount) FROM STDIN') { conn.put_copy_data("99\t1\n") } }
  conn.copy_data('COPY (SELECT item, amount FROM sale WHERE amount >= 100 ORDER BY id) TO STDOUT') do
    while (line = conn.get_copy_data)
      p line
    end
  end
end

def notifications(conn)
  conn.exec('LISTEN shop')
  conn.exec("NOTIFY shop, 'open'")
  conn.wait_for_notify(10) { |channel, pid, payload| p channel, payload, pid == conn.backend_pid }
  conn.exec('UNLISTEN *')
end

puts "pg #{PG::VERSION}"
conn = PG.connect
%i[repeated_reads types own_writes transactions errors_and_notices single_rows copies notifications repeated_reads].each do |chore|
  send(chore, conn)
end
conn.finish
