import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.Security;
import java.security.cert.X509Certificate;
import java.util.List;
import org.bouncycastle.asn1.cms.CMSObjectIdentifiers;
import org.bouncycastle.asn1.cms.ContentInfo;
import org.bouncycastle.cms.CMSAuthEnvelopedData;
import org.bouncycastle.cms.CMSEnvelopedDataParser;
import org.bouncycastle.cms.RecipientInformation;
import org.bouncycastle.cms.jcajce.JceKeyTransAuthEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyTransEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyTransRecipientId;
import org.bouncycastle.jce.provider.BouncyCastleProvider;

/** Decrypts DER or BER files with Bouncy Castle's streaming parser, which finds the recipient by the
 * certificate; AuthEnvelopedData, for which it has none, from memory. The argument names a file of lines "PFX INPUT OUTPUT"; each PFX has the password
 * "secret", one key and its certificate. */
public final class Decrypt {
    private static KeyStore identity(String pfx) throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12", "BC");
        try (InputStream in = Files.newInputStream(Path.of(pfx))) {
            store.load(in, "secret".toCharArray());
        }
        return store;
    }

    private static byte[] authenticated(ContentInfo info, PrivateKey key, X509Certificate certificate)
            throws Exception {
        RecipientInformation one = new CMSAuthEnvelopedData(info).getRecipientInfos()
                .get(new JceKeyTransRecipientId(certificate));
        return one.getContent(new JceKeyTransAuthEnvelopedRecipient(key).setProvider("BC"));
    }

    private static void decrypt(KeyStore identity, Path input, Path output) throws Exception {
        String alias = identity.aliases().nextElement();
        PrivateKey key = (PrivateKey) identity.getKey(alias, "secret".toCharArray());
        X509Certificate certificate = (X509Certificate) identity.getCertificate(alias);
        ContentInfo info = ContentInfo.getInstance(Files.readAllBytes(input));
        if (info.getContentType().equals(CMSObjectIdentifiers.authEnvelopedData)) {
            Files.write(output, authenticated(info, key, certificate));
            return;
        }
        var name = new JceKeyTransRecipientId(certificate);
        try (InputStream in = Files.newInputStream(input);
                OutputStream out = Files.newOutputStream(output)) {
            CMSEnvelopedDataParser parser = new CMSEnvelopedDataParser(in);
            RecipientInformation one = parser.getRecipientInfos().get(name);
            var recipient = new JceKeyTransEnvelopedRecipient(key).setProvider("BC");
            one.getContentStream(recipient).getContentStream().transferTo(out);
        }
    }

    public static void main(String[] arguments) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        List<String> cases = Files.readAllLines(Path.of(arguments[0]));
        for (String line : cases) {
            String[] words = line.split(" ");
            decrypt(identity(words[0]), Path.of(words[1]), Path.of(words[2]));
        }
        System.out.println(cases.size() + " decrypted");
    }
}
