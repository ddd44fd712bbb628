// What a tool does with the Flight SQL JDBC driver: connects, lists tables, columns and keys and, where statements may be run
// (flight_sql.queries), queries and runs a prepared statement. Prints one line for each.
//
//   mvn -q dependency:copy -Dartifact=org.apache.arrow:flight-sql-jdbc-driver:18.3.0 -DoutputDirectory=lib
//   java --add-opens=java.base/java.nio=ALL-UNNAMED -cp 'lib/*' Tour.java 127.0.0.1:8815 [user token]

import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Properties;

public class Tour {
    public static void main(String[] arguments) throws SQLException {
        Properties login = new Properties();
        login.put("useEncryption", "false");
        if (arguments.length > 2) {
            login.put("user", arguments[1]);
            login.put("password", arguments[2]);
        }
        try (Connection connection = DriverManager.getConnection("jdbc:arrow-flight-sql://" + arguments[0], login)) {
            DatabaseMetaData about = connection.getMetaData();
            System.out.println("server " + about.getDatabaseProductName());
            all(about.getCatalogs(), "catalog", "TABLE_CAT");
            all(about.getSchemas(), "schema", "TABLE_SCHEM");
            all(about.getTableTypes(), "type", "TABLE_TYPE");
            all(about.getTables(null, "shop", "%", null), "table", "TABLE_NAME", "TABLE_TYPE");
            all(about.getColumns(null, "shop", "orders", "%"), "column", "COLUMN_NAME", "TYPE_NAME", "DATA_TYPE");
            all(about.getPrimaryKeys(null, "shop", "orders"), "primary key", "COLUMN_NAME", "KEY_SEQ");
            all(about.getImportedKeys(null, "shop", "orders"), "imported key", "PKTABLE_NAME", "FKCOLUMN_NAME");
            all(about.getExportedKeys(null, "shop", "customer"), "exported key", "FKTABLE_NAME", "DELETE_RULE");
            all(about.getCrossReference(null, "shop", "customer", null, "shop", "orders"), "reference", "FK_NAME");
            try (Statement statement = connection.createStatement()) {
                all(statement.executeQuery("select id, price from shop.orders order by id"), "row", "id", "price");
                try (PreparedStatement prepared = connection.prepareStatement("select name from shop.customer where id = ?".replace("?", "$1"))) {
                    prepared.setLong(1, 2);
                    all(prepared.executeQuery(), "found", "name");
                }
                System.out.println("changed " + statement.executeUpdate("update shop.customer set name = 'C' where id = 1"));
            } catch (SQLException refusal) {
                System.out.println("refused " + refusal.getMessage().replace('\n', ' '));
            }
        }
    }

    private static void all(ResultSet rows, String what, String... columns) throws SQLException {
        try (rows) {
            while (rows.next()) {
                StringBuilder line = new StringBuilder(what);
                for (String column : columns) {
                    line.append(' ').append(rows.getObject(column));
                }
                System.out.println(line);
            }
        }
    }
}
