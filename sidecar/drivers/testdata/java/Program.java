import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Arrays;
import org.postgresql.PGConnection;
import org.postgresql.util.PSQLException;

/**
 * A shop's chores with pgJDBC over a Unix socket. The arguments say where that is, and whether
 * everything is in transactions or in autocommit mode, JDBC's default.
 */
class Program {
  private final Connection db;
  private final boolean autocommit;

  private Program(Connection db, boolean autocommit) throws SQLException {
    this.db = db;
    this.autocommit = autocommit;
    db.setAutoCommit(autocommit);
  }

  public static void main(String[] args) throws Exception {
    String url = "jdbc:postgresql://localhost/" + System.getenv("PGDATABASE")
        + "?user=" + System.getenv("PGUSER")
        + "&socketFactory=org.newsclub.net.unix.AFUNIXSocketFactory$FactoryArg"
        + "&socketFactoryArg=" + args[0] + "&sslmode=disable";
    try (Connection db = DriverManager.getConnection(url)) {
      System.out.println("pgJDBC " + db.getMetaData().getDriverVersion());
      Program program = new Program(db, args[1].equals("autocommit"));
      program.repeatedReads();
      program.types();
      program.ownWrites();
      program.transactions();
      program.errors();
      program.pieces();
      program.copies();
      program.notifications();
      program.repeatedReads();
    }
  }

  private void commit() throws SQLException {
    if (!autocommit) {
      db.commit();
    }
  }

  private void rollback() throws SQLException {
    if (!autocommit) {
      db.rollback();
    }
  }

  private void show(ResultSet rows) throws SQLException {
    ResultSetMetaData columns = rows.getMetaData();
    for (int i = 1; i <= columns.getColumnCount(); i++) {
      System.out.println(columns.getColumnName(i) + " " + columns.getColumnTypeName(i) + " " + columns.getPrecision(i) + " " + columns.getScale(i));
    }
    while (rows.next()) {
      for (int i = 1; i <= columns.getColumnCount(); i++) {
        Object value = rows.getObject(i);
        System.out.print((value instanceof byte[] bytes ? Arrays.toString(bytes) : value) + " ");
      }
      System.out.println();
    }
  }

  private void query(String sql, Object... values) throws SQLException {
    try (PreparedStatement statement = db.prepareStatement(sql)) {
      for (int i = 0; i < values.length; i++) {
        statement.setObject(i + 1, values[i]);
      }
      show(statement.executeQuery());
    } catch (PSQLException e) {
      showError(e);
      rollback();
    }
  }

  private void update(String sql) throws SQLException {
    try (Statement statement = db.createStatement()) {
      System.out.println(statement.executeUpdate(sql));
    } catch (PSQLException e) {
      showError(e);
      rollback();
    }
  }

  private void showError(PSQLException e) {
    System.out.println(e.getSQLState() + " " + e.getMessage() + " " + e.getServerErrorMessage().getConstraint());
  }

  private void repeatedReads() throws SQLException {
    for (int i = 0; i < 10; i++) {
      for (String name : new String[] {"currency", "motto"}) {
        query("SELECT value FROM setting WHERE name = ?", name);
      }
      query("SELECT name, value FROM setting ORDER BY name");
      commit();
    }
    // From the fifth run on, the driver prepares on the server.
    try (PreparedStatement statement = db.prepareStatement("SELECT value FROM setting WHERE name = ?")) {
      for (int i = 0; i < 20; i++) {
        statement.setString(1, "vat");
        show(statement.executeQuery());
        commit();
      }
    }
  }

  private void types() throws SQLException {
    for (int i = 0; i < 3; i++) {
      query("SELECT * FROM item ORDER BY id");
      query("SELECT name FROM item WHERE id = ANY (?) AND active", db.createArrayOf("int4", new Integer[] {1, 2, 3}));
      query("SELECT name FROM item WHERE details @> ?::jsonb", "{\"a\": [1]}");
      query("SELECT name FROM item WHERE photo = ? AND price < ?", new byte[] {0, -1, 16}, new java.math.BigDecimal("99.5"));
      query("SELECT id FROM item WHERE changed > ?", java.time.OffsetDateTime.parse("2024-01-01T00:00:00Z"));
      query("SELECT name, amount FROM sold ORDER BY name");
      commit();
    }
  }

  private void ownWrites() throws SQLException {
    try (PreparedStatement statement = db.prepareStatement("UPDATE item SET stock = ? WHERE id = ?")) {
      for (int stock = 0; stock < 20; stock++) {
        statement.setInt(1, stock);
        statement.setInt(2, 3);
        System.out.println(statement.executeUpdate());
        commit();
        query("SELECT stock FROM item WHERE id = ?", 3);
        query("SELECT stock FROM item WHERE id = ?", 3);
        commit();
      }
    }
    try (PreparedStatement statement = db.prepareStatement("INSERT INTO sale (item, amount) VALUES (?, ?)", Statement.RETURN_GENERATED_KEYS)) {
      for (int item = 1; item <= 2; item++) {
        statement.setInt(1, item);
        statement.setInt(2, 5);
        statement.addBatch();
      }
      System.out.println(Arrays.toString(statement.executeBatch()));
      show(statement.getGeneratedKeys());
    }
    commit();
    query("SELECT item, amount FROM sale ORDER BY id");
    commit();
  }

  private void transactions() throws SQLException {
    db.setAutoCommit(false);
    for (boolean commits : new boolean[] {true, false}) {
      update("UPDATE item SET stock = stock + 100 WHERE id = 1");
      query("SELECT stock FROM item WHERE id = ?", 1);
      java.sql.Savepoint here = db.setSavepoint();
      try (Statement statement = db.createStatement()) {
        statement.executeUpdate("UPDATE item SET stock = -1");
      } catch (PSQLException e) {
        showError(e);
        db.rollback(here);
      }
      query("SELECT stock FROM item WHERE id = ?", 1);
      if (commits) {
        db.commit();
      } else {
        db.rollback();
      }
      query("SELECT stock FROM item WHERE id = ?", 1);
      db.commit();
    }
    db.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
    query("SELECT stock FROM item WHERE id = ?", 1);
    db.commit();
    db.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
    db.setAutoCommit(autocommit);
  }

  private void errors() throws SQLException {
    query("INSERT INTO item (id, name, price, stock) VALUES (?, 'x', 1, 1) RETURNING id", 1);
    query("SELECT nothing FROM item");
    query("SELEC 1");
    query("SELECT 1 / ?", 0);
    try (Statement statement = db.createStatement()) {
      statement.execute("DO $$ BEGIN RAISE NOTICE 'noticed'; END $$");
      System.out.println(statement.getWarnings().getMessage());
      statement.setQueryTimeout(1);
      statement.executeQuery("SELECT pg_sleep(20)");
    } catch (PSQLException e) {
      showError(e);
      rollback();
    }
    query("SELECT stock FROM item WHERE id = ?", 1);
    commit();
  }

  /** Reads the first row only, and a result in pieces. */
  private void pieces() throws SQLException {
    db.setAutoCommit(false);
    try (Statement statement = db.createStatement()) {
      statement.setFetchSize(2);
      show(statement.executeQuery("SELECT id, name FROM item ORDER BY id"));
    }
    db.commit();
    db.setAutoCommit(autocommit);
    try (PreparedStatement statement = db.prepareStatement("SELECT id, name FROM item ORDER BY id")) {
      statement.setMaxRows(1);
      for (int i = 0; i < 3; i++) {
        show(statement.executeQuery());
      }
    }
    commit();
  }

  private void copies() throws Exception {
    var copy = db.unwrap(PGConnection.class).getCopyAPI();
    String sales = "COPY sale (item, amount) FROM STDIN";
    System.out.println(copy.copyIn(sales, new ByteArrayInputStream("1\t100\n2\t200\n".getBytes(StandardCharsets.UTF_8))));
    commit();
    try {
      copy.copyIn(sales, new ByteArrayInputStream("99\t1\n".getBytes(StandardCharsets.UTF_8)));
    } catch (PSQLException e) {
      showError(e);
      rollback();
    }
    var out = new ByteArrayOutputStream();
    System.out.println(copy.copyOut("COPY (SELECT item, amount FROM sale WHERE amount >= 100 ORDER BY id) TO STDOUT", out));
    System.out.print(out.toString(StandardCharsets.UTF_8));
    commit();
  }

  private void notifications() throws SQLException {
    var pg = db.unwrap(PGConnection.class);
    update("LISTEN shop");
    update("NOTIFY shop, 'open'");
    commit();
    for (var heard : pg.getNotifications(10_000)) {
      System.out.println(heard.getName() + " " + heard.getParameter() + " " + (heard.getPID() == pg.getBackendPID()));
    }
    update("UNLISTEN *");
    commit();
  }
}
