import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;

/**
 * For each line on standard input, connects anew to the URL of the argument, reads an item and
 * says who answered: "sidecar" or "Postgres".
 */
class Failover {
  public static void main(String[] args) throws Exception {
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
    while (lines.readLine() != null) {
      try (Connection db = DriverManager.getConnection(args[0]); Statement statement = db.createStatement()) {
        try (ResultSet item = statement.executeQuery("SELECT name FROM item WHERE id = 1")) {
          item.next();
        }
        System.out.println(answers(statement));
      } catch (SQLException lost) {
        System.out.println("nobody: " + lost.getMessage());
      }
    }
  }

  /** Only a sidecar knows what SHOW freshet.version means. */
  private static String answers(Statement statement) {
    try (ResultSet version = statement.executeQuery("SHOW freshet.version")) {
      return "sidecar";
    } catch (SQLException unknown) {
      return "Postgres";
    }
  }
}
