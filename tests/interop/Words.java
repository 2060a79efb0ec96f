import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.Security;
import java.util.Arrays;
import java.util.HexFormat;
import org.bouncycastle.jce.provider.BouncyCastleProvider;

/** Does what lines on its standard input say, for as long as they come: words between tabs, "seal
 * INPUT OUTPUT CIPHER SEGMENT" and "open INPUT OUTPUT", each with the words for whom. It answers
 * each line with one of its own, "done" or why not, and before all with its name. */
final class Words {
    private Words() {}

    static byte[] octets(String digits) {
        return HexFormat.of().parseHex(digits);
    }

    private static void follow(String[] words) throws Exception {
        Path input = Path.of(words[1]);
        Path output = Path.of(words[2]);
        if (words[0].equals("seal")) {
            Encrypt.seal(input, output, words[3], Integer.parseInt(words[4]), rest(words, 5));
        } else {
            Decrypt.open(input, output, rest(words, 3));
        }
    }

    private static String[] rest(String[] words, int from) {
        return Arrays.copyOfRange(words, from, words.length);
    }

    public static void main(String[] arguments) throws Exception {
        var provider = new BouncyCastleProvider();
        Security.addProvider(provider);
        System.out.println("Bouncy Castle " + provider.getVersionStr());
        var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            try {
                follow(line.split("\t"));
                System.out.println("done");
            } catch (Exception problem) {
                System.out.println("no: " + problem.toString().replace('\n', ' '));
            }
        }
    }
}
